"""How manifests, receipts and journals are spelled: bytes and names alone. No file system is known here.

names      every name that publishing uses, each spelt once in the project
manifest   one small file that proves what the others are
receipts   a line for each part
journal    a line for each thing that is done
"""
