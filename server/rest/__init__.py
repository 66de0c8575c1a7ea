"""HTTP: the native API, its documentation and the console; a door over `server/inference/`."""
