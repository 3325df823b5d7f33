from tests.vendors.conftest import amperity_at, nobody_has_logged_in

__all__ = ["amperity_at", "nobody_has_logged_in"]
