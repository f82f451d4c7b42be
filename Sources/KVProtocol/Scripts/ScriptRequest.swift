import KVBase

/// A frame that asks for a script.
package struct ScriptRequest: Hashable, Sendable {
  let code: ClientMessageCode
  let body: Bytes

  /// The script, ready to start.
  ///
  /// - Throws: what is wrong with the request.
  package func script() throws(ProtocolFailure) -> any SessionScript {
    code == .mapReduce ? try MapReduceRun(body) : try BucketFold(body)
  }
}
