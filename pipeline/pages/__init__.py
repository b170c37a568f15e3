"""Reports for people: one HTML file that opens without a network (extra ``report``).

content    what a report says: plain values, which every command fills in its own way
drawings   pictures of matplotlib as part of a page: in the colours of the reader, without scripts, styles and fonts
writing    the text of a page, and its file

A page has no script and loads nothing: no font, no image, no style. Its own policy forbids both to the browser, so that
a text that was not escaped could not act either.
"""

from pipeline.pages.content import Fact, Page, PageDrawing, PageSection, PageTable
from pipeline.pages.writing import check_page, page_text, save_page

__all__ = ["Fact", "Page", "PageDrawing", "PageSection", "PageTable", "check_page", "page_text", "save_page"]
