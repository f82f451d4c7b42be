import ArgumentParser
import Foundation

exit(RingAdmin.runCommandLine())
