"""What the bridge says about itself to programs: an OpenAPI 3.1 document of every route.

Each module describes the routes of some doors, with the names those doors accept taken
from where they are read. A test holds it against the routes of the application.
"""

from __future__ import annotations

from bridge.doors.openapi.document import document, routes

__all__ = ["document", "routes"]
