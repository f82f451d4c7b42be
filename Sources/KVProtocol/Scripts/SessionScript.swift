package import KVBase
package import KVModel

/// A client's request that takes several requests to the node: told each reply, it says what comes next.
package protocol SessionScript {
  /// The first step.
  mutating func start() -> ScriptStep
  /// The step after a reply; replies of listings come in several parts.
  mutating func receive(_ reply: ClientReply) -> ScriptStep
}

/// What a script wants done: frames are written first.
package struct ScriptStep {
  /// What follows the frames.
  package enum Next: Hashable {
    /// Ask the node.
    case request(ClientRequest)
    /// More of the present reply is to come.
    case wait
    /// The script has ended.
    case done
  }

  /// Payloads for the client.
  package var frames: [Bytes]
  /// What follows.
  package var next: Next

  init(_ frames: [Bytes] = [], _ next: Next) {
    self.frames = frames
    self.next = next
  }

  /// The end with an error.
  static func failed(_ text: String) -> ScriptStep {
    ScriptStep([ReplyEncoder.error(text)], .done)
  }
}
