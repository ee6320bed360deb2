"""Time tags in the files of other programs: quTAG BINARY, COMPRESSED, RAW and ASCII, and PicoQuant PTU.

`open_tags` recognises what a file is by its content; `write_tags` writes the formats of the quTAG.
"""

from qdci_lab.record.tag_files.opening import open_tags, recognise
from qdci_lab.record.tag_files.tag_file import TagBlock, TagFile, TagFormat, TagSummary, TagTally
from qdci_lab.record.tag_files.writing import write_tags

__all__ = [
    "TagBlock",
    "TagFile",
    "TagFormat",
    "TagSummary",
    "TagTally",
    "open_tags",
    "recognise",
    "write_tags",
]
