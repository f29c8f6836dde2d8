"""The tasks of the lessons, one file a task. Each draws from an rng that the caller passes in.

    pizza   "nishchal likes pizza but his friend likes burger … so friend orders ___"   lessons 01 to 05
    hindi   "mai ghar jaa raha hu -> i am going home", with gold alignments             lessons 07, 08
    python_source   part of the source of SymPy, and what stands where in it          lesson 10
"""
