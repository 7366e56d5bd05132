"""An OpenTSDB cluster as the store of the recording.

Every poll is first made durable in the spool, one SQLite file on this machine, then sent to
the cluster by ``POST /api/put``, oldest first, and forgotten once OpenTSDB says that it is
stored. So a cluster that is away, a killed bridge and a restart lose nothing; what is sent
twice after one of them is the same point written over itself.

Several bridges may record the same service: their points sit on the poll grid, every value is
written as a decimal number, which OpenTSDB 2.4.1 stores in one form whatever it is, so the
later one takes the place of the earlier one.

What the cluster cannot keep stays in the spool's file: the eras of labels (OpenTSDB has no
place for them), and the last ages of each service, for a start while the cluster is away.

Modules, from the outside in: ``store`` (the face, asynchronous), ``put`` (what OpenTSDB is
told, and what its answers mean), ``cluster`` (its settings), ``names`` (what it can store),
``spool`` and ``packing`` (the file), ``reading`` (the cluster as the engine sees it).
"""

from bridge.sources.opentsdb_store.cluster import ClusterSettings
from bridge.sources.opentsdb_store.put import CONCURRENCY as PUTS
from bridge.sources.opentsdb_store.put import TIMEOUT_S as PUT_TIMEOUT_S
from bridge.sources.opentsdb_store.put import PutClient
from bridge.sources.opentsdb_store.reading import Filling, stored
from bridge.sources.opentsdb_store.spool import SPOOL
from bridge.sources.opentsdb_store.store import OpenTsdbStore, StoreState

__all__ = [
    "PUTS",
    "PUT_TIMEOUT_S",
    "SPOOL",
    "ClusterSettings",
    "Filling",
    "OpenTsdbStore",
    "PutClient",
    "StoreState",
    "stored",
]
