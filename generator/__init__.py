"""Build time: config + headers + ELF -> plan -> C -> shim. Never touches a live process."""
