"""tus 1.0: uploads that go on where they were cut off, with any client of it."""
