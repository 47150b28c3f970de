"""A data set shaped like BigEarthNet v2, where that cannot be had: same files, same columns, made from a seed.

Classes differ by the pattern of their ground and by what they lie beside, never by how bright or how varied a band is:
every band of every patch has a mean and a deviation that were drawn without looking at the labels. What is trained on it
is a demonstration, says so in its card, and knows nothing about real ground.
"""
