"""grafana-pandas-datasource, serving one frame from memory (runs in its own environment).

Usage: peer_server.py PORT FILE, with FILE a SimpleJSON answer whose series it serves.
"""

import json
import logging
import sys
from pathlib import Path

import pandas as pd
from grafana_pandas_datasource import create_app
from grafana_pandas_datasource.registry import data_generators
from grafana_pandas_datasource.service import pandas_component


def frame(path: str) -> pd.DataFrame:
    answer = json.loads(Path(path).read_text())
    columns = {}
    for at, series in enumerate(answer):
        stamps = pd.to_datetime([point[1] for point in series["datapoints"]], unit="ms", utc=True)
        # Targets may repeat, columns may not.
        name = f"{at} {series['target']}"
        columns[name] = pd.Series([point[0] for point in series["datapoints"]], index=stamps)
    return pd.DataFrame(columns)


def main() -> None:
    data = frame(sys.argv[2])
    data_generators.add_metric_reader("bench", lambda _target, _span: data)
    app = create_app()
    app.register_blueprint(pandas_component)
    # One line a request on a terminal would be part of the figure.
    logging.disable(logging.CRITICAL)
    app.run(host="127.0.0.1", port=int(sys.argv[1]), threaded=True)


if __name__ == "__main__":
    main()
