import ArgumentParser

KVSim.main()
