import Foundation

/// Prints a line at once: a script waits for it.
func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }

/// Runs a closure on a thread of its own.
func startThread(_ body: @escaping @Sendable () -> Void) { Thread.detachNewThread(body) }
