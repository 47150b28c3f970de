"""Where pixels come from: what plan must know of a source file and how fetch opens it.

An adapter is one module here. Nothing in it is imported before a job needs it, so plan and api stay light.
"""
