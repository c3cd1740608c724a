"""Write the generated pages anew, and remove what is no longer generated."""

from services.desk.docs import FOLDER, ROOT, render

files = render()
for path in sorted((ROOT / FOLDER).glob("*")):
    if path.relative_to(ROOT) not in files:
        path.unlink()
(ROOT / FOLDER).mkdir(parents=True, exist_ok=True)
for name, text in files.items():
    (ROOT / name).write_text(text, "utf-8")
print(f"{len(files)} files in {FOLDER}")
