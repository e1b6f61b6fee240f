"""Reads a file of the house format with pyarrow (26 is known good): read.py FILE KEY_HEX. Prints a column's sum; fails without the key."""
import sys

import pyarrow.parquet as pq
import pyarrow.parquet.encryption as enc

path, key = sys.argv[1], bytes.fromhex(sys.argv[2])
table = pq.ParquetFile(path, decryption_properties=enc.create_decryption_properties(key)).read()
print(table.num_rows, sum(v for v in table["i"].to_pylist() if v is not None), table["s"][0].as_py())
for wrong in (None, enc.create_decryption_properties(bytes(32))):
    try:
        pq.ParquetFile(path, decryption_properties=wrong).read()
    except Exception:  # pyarrow has many kinds
        continue
    sys.exit("it opened without the key")
