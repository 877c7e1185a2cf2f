#!/bin/sh
# make demo: a shim for file input and output, and a real program under it. Needs wc-gen and wc-run on PATH.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

echo '$ wc-gen examples/file-io.json -o hooks.so'
wc-gen "$here/file-io.json" -o hooks.so
echo
echo '$ wc-run --preload hooks.so -T --summary python3 examples/notebook.py'
wc-run --preload hooks.so -T --summary python3 -S -E "$here/notebook.py"
echo
echo 'The same as JSON lines, the last three:'
echo '$ wc-run --preload hooks.so --format jsonl -o calls.jsonl python3 examples/notebook.py; tail -n 3 calls.jsonl'
wc-run --preload hooks.so --format jsonl -o calls.jsonl python3 -S -E "$here/notebook.py" >/dev/null
tail -n 3 calls.jsonl
