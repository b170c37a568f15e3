"""The bytes and names of manifests, receipts and journals. Nothing here uses the file system.

names      every name that publishing uses, each written once in the project
manifest   one small file that proves what the others are
receipts   a line for each part
journal    a line for each thing that is done
"""
