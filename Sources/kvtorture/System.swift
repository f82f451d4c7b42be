import Foundation

/// Lines are read by a script as they come.
func setUpOutput() { setvbuf(stdout, nil, Int32(_IOLBF), 0) }

/// Runs a closure on a thread of its own.
func startThread(_ body: @escaping @Sendable () -> Void) { Thread.detachNewThread(body) }
