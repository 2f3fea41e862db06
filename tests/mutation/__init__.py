"""Mutation testing of the judgement: good runs by simulation, and seeded corruptions of them.

Every corruption must change the verdict, and no good run may be INVALID. What workloads there are
is one module each in :mod:`tests.mutation.stores`: it simulates the store and has the mutants that
only its own checker can find. What may befall any run is in :mod:`tests.mutation.damage`.
"""
