"""What that project has in its tables before it moves."""

from alliance_platform.storage.async_uploads.models import AsyncTempFile
from browser import LETTER, PHOTO, begin, log_in, pdf, png, post, put, send
from clinic.models import Visit

log_in()
letter, photo = send(LETTER, "one.pdf", pdf("one")), send(PHOTO, "one.png", png())
post(title="one", letter=letter, photo={**photo, "width": 16, "height": 12})
# A field that its forms do not name is an error 500 there.
visit = post(title="two", letter="", photo="")
two = send(LETTER, "two.pdf", pdf("two"))
put(f"/visits/{visit['id']}/", letter=two)

# Past save(), the temporary name stays.
bulk = send(LETTER, "bulk.pdf", pdf("bulk"))
Visit.objects.bulk_create([Visit(title="bulk", letter=bulk["key"])])
# As when the storage did not answer while a file was moved.
failed = send(LETTER, "failed.pdf", pdf("failed"))
Visit.objects.bulk_create([Visit(title="failed", letter=failed["key"])])
AsyncTempFile.objects.filter(key=failed["key"]).update(error="Cannot move")
# A form that is open, and a file that never came.
send(LETTER, "waits.pdf", pdf("waits"))
begin(LETTER, "never.pdf")
