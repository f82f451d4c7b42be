/// Applies a JSON Patch to a Patient resource under the rules of the demographics service.
///
/// Pure; all or nothing. **Source**: the published mock of the PDS FHIR API and its error tests.
struct PatientUpdate {
  let before: JSONValue
  let patches: [PatchOperation]
  /// Today, `YYYY-MM-DD`.
  let today: String

  private static let singleValued = ["gender", "birthDate", "deceasedDateTime"]

  /// The resource after all patches.
  func applied() throws(SpineError) -> JSONValue {
    guard !patches.isEmpty else { throw SpineError(.invalidUpdate, "no patches found") }
    var resource = before
    for (index, patch) in patches.enumerated() {
      let tokens = try check(patch, at: index)
      guard resource.apply(completed(patch, tokens), at: tokens[...]) else {
        throw SpineError(.invalidUpdate, "Invalid patch: cannot \(patch.op) at \(patch.path)")
      }
    }
    resource.giveItemsIDs(seed: before["id"]?.string ?? "")
    try PatientRules(before: before, after: resource, today: today).check()
    return resource
  }

  /// The rules about how a patch may be written.
  private func check(_ patch: PatchOperation, at index: Int) throws(SpineError) -> [String] {
    guard ["add", "replace", "remove", "test"].contains(patch.op) else {
      throw SpineError(.invalidValue, "Invalid value - '\(patch.op)' in field 'op'")
    }
    guard let tokens = patch.tokens, let field = tokens.first, !field.isEmpty else {
      throw SpineError(.invalidUpdate, "Invalid patch: path '\(patch.path)'")
    }
    guard patch.op == "remove" || patch.value != nil else {
      throw SpineError(.invalidUpdate, "Invalid patch: \(patch.op) without a value")
    }
    guard !["id", "resourceType", "meta", "identifier"].contains(field) || patch.op == "test" else {
      throw SpineError(.forbiddenUpdate, "Forbidden update with error - \(field)")
    }
    let isList = isItemList(field)
    if isList, tokens.count == 2, patch.op == "add", tokens[1] != "-" {
      throw SpineError(.invalidUpdate, "Invalid update with error - add to '/\(field)/-'")
    }
    if isList, tokens.count > 2, patch.op != "test" { try checkItemNamed(tokens, patch) }
    if patch.op == "remove" { try checkRemoval(tokens, at: index, isList: isList) }
    return tokens
  }

  private func isItemList(_ field: String) -> Bool {
    PatientFields.itemLists.contains(field) || field == "extension"
  }

  /// A change inside an item must name the item by its id or url somewhere in the patch list.
  private func checkItemNamed(_ tokens: [String], _ patch: PatchOperation) throws(SpineError) {
    guard tokens[1] != "-" else {
      throw SpineError(.invalidUpdate, "Invalid patch: path '\(patch.path)'")
    }
    let item = "/\(tokens[0])/\(tokens[1])"
    let isNamed = patches.contains { other in
      ["id", "url"].contains {
        other.path == "\(item)/\($0)" && other.op != "remove"
          && other.value == before.value(at: [tokens[0], tokens[1], $0])
      }
    }
    guard isNamed else {
      throw SpineError(
        .invalidUpdate,
        "Invalid update with error - Invalid patch - no id or url found for path \(item)")
    }
  }

  /// A removal of an item follows a test of that item; parts of items are replaced, not removed.
  private func checkRemoval(
    _ tokens: [String], at index: Int, isList: Bool
  ) throws(SpineError) {
    let path = "/" + tokens.joined(separator: "/")
    if tokens.count == 1, Self.singleValued.contains(tokens[0]) {
      throw SpineError(
        .forbiddenUpdate, "Forbidden update with error - \(tokens[0]) cannot be removed")
    }
    guard isList else { return }
    guard tokens.count == 2 else {
      throw SpineError(.invalidUpdate, "Invalid update with error - \(path) cannot be removed")
    }
    let tested = index > 0 ? patches[index - 1] : nil
    guard let tested, tested.op == "test",
      [path, "\(path)/id", "\(path)/url"].contains(tested.path)
    else {
      throw SpineError(
        .invalidUpdate, "Invalid update with error - removal without a test of \(path)")
    }
  }

  /// A whole item that says nothing about its period starts today.
  private func completed(_ patch: PatchOperation, _ tokens: [String]) -> PatchOperation {
    guard tokens.count == 2, ["name", "address", "telecom"].contains(tokens[0]),
      patch.op == "add" || patch.op == "replace", var item = patch.value
    else { return patch }
    if item["period"] == nil { item["period"] = ["start": .string(today)] }
    if item["period"]?["start"] == nil { item["period"]?["start"] = .string(today) }
    return PatchOperation(op: patch.op, path: patch.path, value: item)
  }
}

/// What must be true of a Patient resource after an update.
struct PatientRules {
  let before: JSONValue
  let after: JSONValue
  let today: String

  func check() throws(SpineError) {
    try checkNames()
    try checkDates()
    try checkAddresses()
    try checkTelecom()
    try checkPharmacies()
    for list in ["name", "address", "telecom"] {
      for item in after[list]?.elements ?? [] { try checkPeriod(item, in: list) }
    }
  }

  private func refuse(_ text: String) -> SpineError {
    SpineError(.invalidUpdate, "Invalid update with error - \(text)")
  }

  private func checkNames() throws(SpineError) {
    let names = after["name"]?.elements ?? []
    func count(_ use: String) -> Int { names.filter { $0["use"]?.string == use }.count }
    let hadUsual = (before["name"]?.elements ?? []).contains { $0["use"]?.string == "usual" }
    if hadUsual, count("usual") == 0 {
      throw SpineError(
        .forbiddenUpdate, "Forbidden update with error - the usual name cannot be removed")
    }
    guard count("usual") <= 1 else { throw refuse("more than one usual name") }
    guard count("nickname") <= 1 else { throw refuse("more than one nickname") }
    for name in names {
      let given = name["given"]?.elements ?? []
      guard (name["family"]?.string ?? "").count <= 35, given.count <= 5,
        given.allSatisfy({ ($0.string ?? "").count <= 35 })
      else { throw SpineError(.invalidValue, "a name is too long") }
      let old = (before["name"]?.elements ?? []).first { $0["id"] == name["id"] }
      if let old, old["use"] != name["use"] { throw refuse("the use of a name cannot change") }
    }
    let gender = after["gender"]?.string
    if gender != before["gender"]?.string {
      guard ["male", "female", "unknown"].contains(gender ?? "") else {
        throw SpineError(.invalidValue, "Invalid value - '\(gender ?? "")' in field 'gender'")
      }
    }
  }

  private func checkDates() throws(SpineError) {
    for field in ["birthDate", "deceasedDateTime"] {
      guard let text = after[field]?.string else { continue }
      guard SpineTime(fhir: text) != nil else {
        throw SpineError(.invalidValue, "Invalid value - '\(text)' in field '\(field)'")
      }
      guard text.prefix(10) <= today else { throw refuse("\(field) is in the future") }
    }
    if let birth = after["birthDate"]?.string, let death = after["deceasedDateTime"]?.string {
      guard birth <= death.prefix(10) else { throw refuse("death before birth") }
    }
    let (old, new) = (DeathNotice(before), DeathNotice(after))
    guard old != new else { return }
    if old.status == "2" {
      throw SpineError(
        .forbiddenUpdate, "Forbidden update with error - death was formally notified")
    }
    guard new.status != "2" else {
      throw SpineError(.forbiddenUpdate, "Forbidden update with error - formal death notification")
    }
    guard (new.date == nil) == (new.status == nil) else {
      throw refuse("the date of death and its notification status come together")
    }
  }

  private struct DeathNotice: Equatable {
    var date: String?
    var status: String?

    init(_ resource: JSONValue) {
      let record = PatientRecord(resource: resource, time: SpineTime(secondsSinceEpoch: 0))
      date = record.deceasedDate
      status = record.deathStatus
    }
  }

  private func checkAddresses() throws(SpineError) {
    let addresses = after["address"]?.elements ?? []
    let uses = addresses.compactMap { $0["use"]?.string }
    guard Set(uses).count == uses.count else { throw refuse("two addresses of the same use") }
    // What was there before these rules is left in peace until it is changed.
    let kept = before["address"]?.elements ?? []
    for address in addresses where !kept.contains(address) {
      let use = address["use"]?.string ?? ""
      guard ["home", "temp", "billing", "work"].contains(use) else {
        throw SpineError(.invalidValue, "Invalid value - '\(use)' in field 'address/use'")
      }
      guard (address["line"]?.elements ?? []).count <= 5 else {
        throw refuse("more than five address lines")
      }
      guard let limit = ["temp": 90, "billing": 366][use] else { continue }
      let dates = [address["period"]?["start"], address["period"]?["end"]].map {
        $0?.string.flatMap { CivilDate($0.prefix(10).replacing("-", with: "")) }
      }
      guard let start = dates[0], let end = dates[1] else {
        throw refuse("a \(use) address needs start and end")
      }
      guard end.daysSinceEpoch - start.daysSinceEpoch <= limit else {
        throw refuse("a \(use) address lasts at most \(limit) days")
      }
    }
  }

  private func checkTelecom() throws(SpineError) {
    var seen: Set<String> = []
    for contact in after["telecom"]?.elements ?? [] {
      let system = contact["system"]?.string ?? ""
      let other = contact["extension"]?.elements.first?["valueCoding"]?["code"]?.string ?? ""
      guard seen.insert("\(system)|\(contact["use"]?.string ?? "")|\(other)").inserted else {
        throw refuse("two contact details of the same system and use")
      }
      guard system == "email", let value = contact["value"]?.string else { continue }
      guard (7...89).contains(value.count), value.split(separator: "@").count == 2 else {
        throw SpineError(.invalidValue, "Invalid value - '\(value)' in field 'telecom/value'")
      }
    }
  }

  private func checkPharmacies() throws(SpineError) {
    let urls = (after["extension"]?.elements ?? []).compactMap { $0["url"]?.string }
    for pharmacy in PatientFields.pharmacies where urls.filter({ $0 == pharmacy }).count > 1 {
      throw refuse("more than one \(pharmacy)")
    }
  }

  private func checkPeriod(_ item: JSONValue, in list: String) throws(SpineError) {
    let old = (before[list]?.elements ?? []).first { $0["id"] == item["id"] }
    guard let period = item["period"], period != old?["period"] else { return }
    let start = period["start"]?.string.map { String($0.prefix(10)) }
    let end = period["end"]?.string.map { String($0.prefix(10)) }
    for date in [start, end].compactMap(\.self) where SpineTime(fhir: date) == nil {
      throw SpineError(.invalidValue, "Invalid value - '\(date)' in field '\(list)/period'")
    }
    if let start, start > today { throw refuse("\(list) starts in the future") }
    if let start, let end, end < start { throw refuse("\(list) ends before it starts") }
  }
}
