import KVBase
import KVModel
import KVProtocol

/// Requests that take several requests to the node.
extension ClientSession {
  func perform(_ request: ScriptRequest) {
    do throws(ProtocolFailure) {
      let script = try request.script()
      state = .performing(.propertiesStored)
      self.script = script
      take { $0.start() }
    } catch {
      write(ReplyEncoder.error(error.text))
      finish()
    }
  }

  /// Moves the script on: writes its frames and asks for what it wants.
  private func take(_ step: (inout any SessionScript) -> ScriptStep) {
    guard var script else { return }
    let outcome = step(&script)
    self.script = script
    for frame in outcome.frames { write(frame) }
    guard !isClosed else { return }
    switch outcome.next {
    case .done:
      self.script = nil
      finish()
    case .wait: break
    case .request(let request):
      if !outcome.frames.isEmpty { state = .streaming(.propertiesStored) }
      submit(request) { session, reply in session.take { $0.receive(reply) } }
    }
  }
}
