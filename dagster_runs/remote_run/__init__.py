"""One remote run, independent of the vendor: it is started once, polled, canceled or left running, and reported."""
