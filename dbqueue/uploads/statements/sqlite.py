"""A UUID is its 32 hexadecimal digits."""

WRITE_CHUNK = """
INSERT INTO dbqueue_uploadchunk (upload_id, position, data)
VALUES (replace(%s, '-', ''), %s, %s)
"""
