"""%b sends bytes as they are."""

WRITE_CHUNK = """
INSERT INTO dbqueue_uploadchunk (upload_id, position, data) VALUES (%s, %s, %b)
"""
