"""Documents on their way into a home: files to text, text to chunks, chunks into the library."""
