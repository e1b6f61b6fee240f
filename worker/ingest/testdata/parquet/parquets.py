"""Makes the Parquet files beside it with writers other than arrow-go: pyarrow, DuckDB and polars.

Each holds the same 120 rows, which TestOtherWriters knows. Run it in this folder: python3 parquets.py
"""
import datetime
import uuid

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 120
START = datetime.datetime(2001, 1, 1)


def column(value, missing, kind):
    return pa.array([None if missing and i % missing == 0 else value(i) for i in range(ROWS)], kind)


table = pa.table({
    "n": column(lambda i: i * 3, 7, pa.int64()),
    "text": column(lambda i: f"wört {i % 17}", 5, pa.string()),
    "alone": column(lambda i: f"text {i}", 0, pa.string()),
    "u": column(lambda i: uuid.UUID(int=i).bytes, 11, pa.binary(16)),
    "at": column(lambda i: START + datetime.timedelta(seconds=i), 13, pa.timestamp("us")),
    "ok": column(lambda i: i % 2 == 0, 3, pa.bool_()),
})
delta = {"text": "DELTA_BYTE_ARRAY", "alone": "DELTA_LENGTH_BYTE_ARRAY", "u": "BYTE_STREAM_SPLIT", "n": "DELTA_BINARY_PACKED", "at": "DELTA_BINARY_PACKED", "ok": "RLE"}
pq.write_table(table, "pyarrow-delta.parquet", use_dictionary=False, column_encoding=delta, data_page_version="2.0", compression="zstd", store_schema=False)
pq.write_table(table, "pyarrow-pages.parquet", data_page_size=50, write_batch_size=9, dictionary_pagesize_limit=100, compression="snappy", row_group_size=50,
               write_statistics=False, store_schema=False)
pq.write_table(table, "pyarrow-int96.parquet", version="1.0", use_deprecated_int96_timestamps=True, compression="gzip", store_schema=False)
db = duckdb.connect()
db.execute("""create table t as select case when i % 7 > 0 then i * 3 end::bigint n, case when i % 5 > 0 then 'wört ' || (i % 17) end::varchar "text", ('text ' || i)::varchar alone,
    case when i % 11 > 0 then ('00000000-0000-0000-0000-' || printf('%012x', i))::uuid end u,
    case when i % 13 > 0 then timestamp '2001-01-01' + to_seconds(i) end "at", case when i % 3 > 0 then i % 2 = 0 end ok from range(120) r(i)""")
db.execute("copy t to 'duckdb-v1.parquet' (format parquet)")
db.execute("copy t to 'duckdb-v2.parquet' (format parquet, parquet_version v2, compression zstd)")
texts = polars.from_arrow(table.drop_columns(["u"]))
uuids = polars.Series("u", [None if i % 11 == 0 else str(uuid.UUID(int=i)) for i in range(ROWS)])
texts.with_columns(uuids).write_parquet("polars.parquet", row_group_size=50, compression="lz4")

# A row group without rows, whose columns lie nowhere; TestEmptyRowGroups reads it.
with pq.ParquetWriter("../empty-groups.parquet", pa.schema([("n", pa.int64()), ("text", pa.string())])) as w:
    for n in (3, 0, 2):
        w.write_table(pa.table({"n": pa.array(range(n), pa.int64()), "text": pa.array(["x"] * n, pa.string())}))
