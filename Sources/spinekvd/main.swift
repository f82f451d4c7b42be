import ArgumentParser
import CMalloc
import Foundation

// SIGPIPE would end the process when a client goes away in the middle of a reply.
signal(SIGPIPE, SIG_IGN)
// Batches of a handoff and large values come and go by the thousand a second: memory that is given back
// to the system each time costs a page fault for every 4 KiB when it is taken again, a fifth of a
// handoff's time. What a thread has freed is kept, up to 16 MiB.
mallopt(M_MMAP_THRESHOLD, 4 << 20)
mallopt(M_TRIM_THRESHOLD, 16 << 20)
exit(await CommandLineRunner.run(SpineKVD.self))
