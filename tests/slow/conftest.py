from tests.vendors.conftest import amperity_at as amperity_at
from tests.vendors.conftest import nobody_has_logged_in as nobody_has_logged_in
