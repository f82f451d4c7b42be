import KVBase

/// A frame that asks for a script.
package struct ScriptRequest: Hashable, Sendable {
  let code: ClientMessageCode
  let body: Bytes

  /// The script, ready to start.
  ///
  /// - Throws: what is wrong with the request.
  package func script() throws(ProtocolFailure) -> any SessionScript {
    switch code {
    case .mapReduce: try MapReduceRun(body)
    case .foldBucket: try BucketFold(body)
    default: try FoldScript(code, body)
    }
  }
}
