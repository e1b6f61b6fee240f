"""Asks the queries of a folder through adbc_driver_flightsql with pandas, and prints what came as JSON."""

import json
import pathlib
import sys

import adbc_driver_flightsql.dbapi as flightsql
import pandas
from adbc_driver_flightsql import DatabaseOptions
from adbc_driver_manager import Error

address, token, root, folder = sys.argv[1:]
options = {
    DatabaseOptions.AUTHORIZATION_HEADER.value: "Bearer " + token,
    DatabaseOptions.TLS_ROOT_CERTS.value: pathlib.Path(root).read_text(),
    DatabaseOptions.RPC_CALL_HEADER_PREFIX.value + "concordat-intervals": "true",
}
by_password = {"username": "ana", "password": token, DatabaseOptions.TLS_ROOT_CERTS.value: pathlib.Path(root).read_text()}
said = {"queries": {}, "refused": "", "objects": {}, "info": {}, "columns": []}
with flightsql.connect("grpc+tls://" + address, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
    for file in sorted(pathlib.Path(folder).glob("*.sql")):
        cursor.execute(file.read_text())
        table = cursor.fetch_arrow_table()
        frame = table.to_pandas()
        rows = [[None if pandas.isna(v) else str(v) for v in row] for row in frame.itertuples(index=False)]
        metadata = {k.decode(): v.decode() for k, v in table.schema.metadata.items()}
        said["queries"][file.stem] = {"columns": list(frame.columns), "rows": rows, "metadata": metadata}
    try:
        cursor.execute("SELECT * FROM clinic.patients LIMIT 0")
    except Error as refused:
        said["refused"] = str(refused)
    for depth in ("catalogs", "db_schemas", "tables", "all"):
        said["objects"][depth] = connection.adbc_get_objects(depth=depth).read_all().to_pylist()
    said["info"] = {str(k): str(v) for k, v in connection.adbc_get_info().items()}
    cursor.execute("SELECT 1")
    probe = cursor.fetchone()
    schema = cursor.adbc_execute_schema(f'SELECT count(DISTINCT id) AS n FROM "{connection.adbc_current_catalog}"."clinic"."patients"')
    said["tool"] = [connection.adbc_current_catalog, probe[0], schema.names]
    with flightsql.connect("grpc+tls://" + address, db_kwargs=by_password, autocommit=True) as other, other.cursor() as again:
        again.execute("SELECT 1")
        said["tool"].append(again.fetchone()[0])
    said["columns"] = connection.adbc_get_table_schema("patients", db_schema_filter="clinic").names
json.dump(said, sys.stdout, default=str)
