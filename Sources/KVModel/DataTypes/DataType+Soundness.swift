import KVBase

/// What must hold of a value that is read: its clock contains every dot, and nothing is empty that would
/// not be kept.
extension DataType {
  var isSound: Bool {
    switch store {
    case .counter(let store): store.isSound(clock)
    case .set(let store): store.isSound(clock)
    case .map(let store): store.isSound(clock)
    case .hll, .gset: true
    }
  }
}

extension DotSet {
  fileprivate func isSound(_ clock: VersionVector) -> Bool { dots.allSatisfy(clock.contains) }
}

extension CounterStore {
  fileprivate func isSound(_ clock: VersionVector) -> Bool {
    entries.allSatisfy { clock.contains($0.dot) }
  }
}

extension RegisterStore {
  fileprivate func isSound(_ clock: VersionVector) -> Bool {
    entries.allSatisfy { clock.contains($0.dot) }
  }
}

extension ElementStore {
  fileprivate func isSound(_ clock: VersionVector) -> Bool {
    entries.allSatisfy { !$0.dots.isEmpty && $0.dots.isSound(clock) }
  }
}

extension MapStore {
  fileprivate func isSound(_ clock: VersionVector) -> Bool {
    entries.allSatisfy { entry in
      guard entry.presence.isSound(clock), !entry.presence.isEmpty || !entry.value.isEmpty else {
        return false
      }
      switch entry.value {
      case .counter(let store): return store.isSound(clock)
      case .set(let store): return store.isSound(clock)
      case .register(let store): return store.isSound(clock)
      case .flag(let store): return store.isSound(clock)
      case .map(let store): return store.isSound(clock)
      }
    }
  }
}
