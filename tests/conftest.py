pytest_plugins = ["peers.fixtures"]
