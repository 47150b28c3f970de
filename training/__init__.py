"""Jobs that make the models that functions run. Nothing here is deployed."""
