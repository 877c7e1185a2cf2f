"""Run time: launches programs, drains their rings, decodes, renders, controls."""
