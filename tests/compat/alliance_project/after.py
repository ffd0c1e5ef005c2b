"""Look at all of it after the move, and use it once more."""

import json

from browser import LETTER, PHOTO, client, download, log_in, pdf, png, post, put, send
from clinic.models import Visit

log_in()
known = {visit.title: visit for visit in Visit.objects.all()}
for title in ("one", "two", "bulk", "failed"):
    name = known[title].letter.name
    assert name.startswith("letters/"), name
    assert download(LETTER, known[title].pk) == pdf(title)
assert known["one"].photo.read() == png()
assert (known["one"].width, known["one"].height) == (16, 12)

page = client.get(f"/visits/{known['one'].pk}/").content.decode()
assert ">one.pdf<" in page

letter, photo = send(LETTER, "new.pdf", pdf("new")), send(PHOTO, "new.png", png())
new = Visit.objects.get(pk=post(title="new", letter=letter, photo=photo)["id"])
assert new.letter.name.startswith("letters/new"), new.letter.name
assert download(LETTER, new.pk) == pdf("new")
assert (new.width, new.height) == (16, 12)
# A page sends back what is there.
kept = {"key": new.letter.name, "name": "new.pdf", "url": new.letter.url}
post(f"/visits/{new.pk}/", title="same", letter=kept)
new.refresh_from_db()
assert (new.title, new.letter.name) == ("same", kept["key"])

told = put(f"/visits/{known['two'].pk}/", letter=send(LETTER, "3.pdf", pdf("three")))
assert set(told["letter"]) == {"key", "name", "url"}, told
assert download(LETTER, told["id"]) == pdf("three")
print(json.dumps("all is there"))
