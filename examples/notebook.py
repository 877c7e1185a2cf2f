"""What make demo watches: a small program that does real file work in a temporary folder, and says what it did."""

import json
import os
import tempfile

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "notes.json")
    with open(path, "w") as file:
        json.dump({"title": "shopping", "items": ["bread", "tea", "apples"]}, file)
    os.rename(path, path + ".bak")
    with open(path + ".bak") as file:
        notes = json.load(file)
    os.unlink(path + ".bak")
print(f"{notes['title']}: {', '.join(notes['items'])}")
