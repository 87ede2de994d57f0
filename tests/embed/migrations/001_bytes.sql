-- "quotes" \\backslash ??/ trigraph
SELECT 'ä€';
