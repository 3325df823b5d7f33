from tests.transport.conftest import client_of, origin, other_origin, running_origins
from tests.vendors.conftest import amperity_at, nobody_has_logged_in

__all__ = ["amperity_at", "client_of", "nobody_has_logged_in", "origin", "other_origin", "running_origins"]
