"""How a trained model becomes `layers/models/<name>/`: `package.publish` for networks, `package.publish_tables` for tables."""
