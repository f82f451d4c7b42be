import ArgumentParser
import Foundation

// SIGPIPE would end the process when a client goes away in the middle of a reply.
signal(SIGPIPE, SIG_IGN)
exit(await CommandLineRunner.run(SpineKVD.self))
