"""A proxy that reads PostgreSQL's protocol, to strike at one statement and no other."""

import re
import struct
import threading
from collections import Counter

from tests.support.proxy import Proxy

# What a client may send first; the server answers the last two with a single byte.
_CANCEL, _TLS, _GSSAPI = 80_877_102, 80_877_103, 80_877_104
QUERY, PARSE, BIND, READY = b"Q", b"P", b"B", b"Z"
IDLE = b"I"  # in no transaction: what was sent before is committed

# The server itself raises it, so that its transaction fails as after the real error.
RAISE = "DO $$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '{}'; END $$"


class Meddler(Proxy):
    """Cuts off answers, or has statements refused, as the test says."""

    def __init__(self, database_url):
        self._lock = threading.Lock()
        self._cutting = ("", 0)
        self._sqlstate = None
        self._times = 0
        self.cuts = 0
        self.refused = Counter()  # by what the statement says
        super().__init__(database_url)

    def cut_answers_to(self, text, *, times=1):
        """End a connection when a transaction that said `text` has been committed.

        The answer to the commit is not handed on.
        """
        with self._lock:
            self._cutting = (text.encode(), times)

    def refuse(self, sqlstate, *, times):
        """Let each statement that names a table of ours fail so often."""
        with self._lock:
            self._sqlstate, self._times = sqlstate, times

    def ways(self):
        conversation = Conversation(self)
        return conversation.there, conversation.back

    def is_to_be_cut(self, statement):
        text, times = self._cutting
        return times > 0 and text in statement

    def spend_a_cut(self):
        with self._lock:
            text, times = self._cutting
            self._cutting = (text, times - 1)
            self.cuts += times > 0
            return times > 0

    def raised_by(self, statement):
        """Return the text to run instead, or None to let the statement be."""
        text = statement.decode(errors="replace")
        if self._sqlstate is None or "dbqueue_" not in text:
            return None
        with self._lock:
            known = gist(text)
            if self.refused[known] >= self._times:
                return None
            self.refused[known] += 1
        return RAISE.format(self._sqlstate).encode() + b"\0"


class Conversation:
    """One connection's messages, whole, in both directions."""

    def __init__(self, meddler):
        self._meddler = meddler
        self._asked, self._answered = bytearray(), bytearray()
        self._started = False
        self._single_bytes = 0
        self._doomed = False
        self._held = b""
        self._statements = {}  # by their names, as they were parsed

    def there(self, data):
        self._asked += data
        sent = b""
        if not self._started:
            sent += self._start()
        if self._started:
            for message in messages(self._asked):
                sent += self._meddled(message)
        return sent

    def back(self, data):
        self._answered += data
        sent = b""
        while self._single_bytes and self._answered:
            sent += bytes([self._answered.pop(0)])
            self._single_bytes -= 1
        for message in messages(self._answered):
            if not self._doomed:
                sent += message
                continue
            self._held += message
            if message[:1] == READY:
                if message[5:] == IDLE and self._meddler.spend_a_cut():
                    return None
                self._doomed = message[5:] != IDLE
                sent, self._held = sent + self._held, b""
        return sent

    def _meddled(self, message):
        """Note whether the answer is doomed; return the message, or another."""
        kind, body = message[:1], message[5:]
        if kind == PARSE:
            name, statement, _ = body.split(b"\0", 2)
            self._statements[name] = statement
        if kind not in (QUERY, BIND):
            return message
        statement = body[:-1]
        if kind == BIND:
            statement = self._statements.get(body.split(b"\0", 2)[1], b"")
        self._doomed |= self._meddler.is_to_be_cut(statement)
        raising = self._meddler.raised_by(statement)
        if raising is None:
            return message
        if kind == QUERY:
            return packed(QUERY, raising)
        # Neither a name nor parameters; what executes it follows.
        return packed(PARSE, b"\0" + raising + bytes(2)) + packed(BIND, bytes(8))

    def _start(self):
        """Pass on what comes before the first message of the usual form."""
        sent = b""
        while not self._started and len(self._asked) >= 8:
            length, kind = struct.unpack("!II", self._asked[:8])
            if len(self._asked) < length:
                break
            if kind in (_TLS, _GSSAPI):
                self._single_bytes += 1
            else:
                self._started = True
            sent += self._asked[:length]
            del self._asked[:length]
        return sent


def messages(buffer):
    """Take the whole messages out of the buffer."""
    while len(buffer) >= 5:
        length = 1 + struct.unpack("!I", buffer[1:5])[0]
        if len(buffer) < length:
            return
        message = bytes(buffer[:length])
        del buffer[:length]
        yield message


def packed(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


def gist(sql):
    """Return what makes the statement another one: not its values."""
    value = r"(?:'(?:[^']|'')*'|\$\d+)(?:::\w+(?:\[\])?)?|\b\d+(?:\.\d+)?\b"
    plain = re.sub(value, "?", sql)
    return re.sub(r"\?(?:, \?)+", "?", " ".join(plain.split()))
