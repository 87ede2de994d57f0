#define SQL "SELECT 1 " \
    "FROM {{tables.users}}"
// pgdbm-check: allow bare-table because x
void f(pgdbm_db *db) {
    pgdbm_execute(db, R"x(SELECT ")" FROM users)x" u8"\x41\u00e4\101\n", a ? "b" : (SQL), *c);
    snprintf(sql, 9, "%s", x); pgdbm_close(db); pgdbm_execute_with(db, NULL, sql, e);
    pgdbm_migrate_options how = {.migrations = &m, .module = ""};
    pgdbm_open(&config, &a, &err); pgdbm_open(&config, &b, &err);
}
