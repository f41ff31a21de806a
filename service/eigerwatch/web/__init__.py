"""The web process: REST, live WebSocket and the page. Reads the store only."""
