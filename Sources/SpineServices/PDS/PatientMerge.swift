extension PatientRecord {
  /// Joins two siblings: the change logs unite, and each field keeps the value with the higher
  /// stamp, so that changes of different fields both stand.
  ///
  /// Safety floors go before stamps of the same version: the more restrictive security, the more
  /// formal death notice, the later registration with a practice.
  func merged(with other: PatientRecord) -> PatientRecord {
    guard self != other else { return self }
    if holds(other) { return self }
    if other.holds(self) { return other }
    let (mine, theirs) = (resource.mergeFields(), other.resource.mergeFields())
    var fields: [String: JSONValue] = [:]
    var merged = baseOrder(other) ? self : other
    for key in Set(mine.keys).union(theirs.keys) {
      let order = compare(key, mine[key], theirs[key], stamps[key], other.stamps[key])
      fields[key] = order ? mine[key] : theirs[key]
    }
    merged.resource = JSONValue(mergeFields: fields)
    merged.stamps = stamps.merging(other.stamps) { max($0, $1) }
    merged.changeLog = changeLog.merging(other.changeLog) {
      ($0.version, $0.time) <= ($1.version, $1.time) ? $0 : $1
    }
    merged.prunedCount = max(prunedCount, other.prunedCount)
    merged.baseVersion = max(baseVersion, other.baseVersion)
    merged.time = max(time, other.time)
    return merged
  }

  private func holds(_ other: PatientRecord) -> Bool {
    guard baseVersion == other.baseVersion, version >= other.version else { return false }
    return other.changeLog.allSatisfy { changeLog[$0.key] == $0.value }
      && !(version == other.version && resource != other.resource)
  }

  private func baseOrder(_ other: PatientRecord) -> Bool {
    let (a, b) = ((try? JSONCoding.encode(self)) ?? [], (try? JSONCoding.encode(other)) ?? [])
    return !b.lexicographicallyPrecedes(a)
  }

  /// True when the first value stands.
  private func compare(
    _ key: String, _ a: JSONValue?, _ b: JSONValue?, _ stampA: FieldStamp?, _ stampB: FieldStamp?
  ) -> Bool {
    guard a != b else { return true }
    if (stampA?.version ?? 0) == (stampB?.version ?? 0), let floor = Self.floor(key, a, b) {
      return floor
    }
    switch (stampA, stampB) {
    case (let a?, let b?): return a >= b
    case (.some, nil): return true
    case (nil, .some): return false
    case (nil, nil):
      let (first, second) = ((try? JSONCoding.encode(a)) ?? [], (try? JSONCoding.encode(b)) ?? [])
      return !second.lexicographicallyPrecedes(first)
    }
  }

  /// What safety demands of two concurrent values; nil when it does not care.
  private static func floor(_ key: String, _ a: JSONValue?, _ b: JSONValue?) -> Bool? {
    func rank(_ value: JSONValue?) -> String? {
      switch key {
      case "meta":
        let code = value?["security"]?[0]?["code"]?.string ?? "U"
        return String(Confidentiality(rawValue: code)?.rank ?? 0)
      case "deceasedDateTime": return value == nil ? "" : "1"
      case "extension#" + PatientFields.deathNotification:
        return value?["extension"]?[0]?["valueCodeableConcept"]?["coding"]?[0]?["code"]?.string
          ?? ""
      default:
        guard key.hasPrefix("generalPractitioner#") else { return nil }
        return value?["identifier"]?["period"]?["start"]?.string ?? ""
      }
    }
    guard let first = rank(a), let second = rank(b), first != second else { return nil }
    return first > second
  }
}
