"""Reads a data frame as pandas does, and prints its types and its rows as one JSON object.

Usage: read_frame.py FILE.parquet | FILE.arrow | FILE.csv
"""

import json
import sys

import pandas


def read(path):
    if path.endswith(".parquet"):
        return pandas.read_parquet(path)
    if path.endswith(".arrow"):
        return pandas.read_feather(path)
    return pandas.read_csv(path, parse_dates=["time", "measured_at"])


def main(path):
    frame = read(path)
    types = {name: str(kind) for name, kind in frame.dtypes.items()}
    # Nothing is null, and a time is microseconds since 1970.
    rows = json.loads(frame.to_json(orient="records", date_format="epoch", date_unit="us"))
    print(json.dumps({"types": types, "rows": rows}))


if __name__ == "__main__":
    main(*sys.argv[1:])
