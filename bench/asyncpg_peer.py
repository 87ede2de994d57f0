# SPDX-License-Identifier: MIT
# asyncpg's side of a figure: `asyncpg_peer.py fetch|copy URL ROWS`. Does it once for each line that comes in, and prints
# the seconds that took. Ends with 77 when there is no asyncpg.
import asyncio
import sys
import time

try:
    import asyncpg
except ImportError:
    sys.exit(77)


async def fetch(connection, rows):
    statement = await connection.prepare("SELECT b, i, t, f FROM wide LIMIT $1")

    async def run():
        assert len(await statement.fetch(rows)) == rows

    return run


async def copy(connection, rows):
    records = [(n, f"text of row {n:8d}", n / 7.0) for n in range(rows)]

    async def run():
        await connection.copy_records_to_table("copied", records=records, columns=["i", "t", "f"])

    return run


async def main(workload, url, rows):
    connection = await asyncpg.connect(url)
    run = await {"fetch": fetch, "copy": copy}[workload](connection, int(rows))
    for _ in sys.stdin:
        begun = time.perf_counter()
        await run()
        print(time.perf_counter() - begun, flush=True)


asyncio.run(main(*sys.argv[1:]))
