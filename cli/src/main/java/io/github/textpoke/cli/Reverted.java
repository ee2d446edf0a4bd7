package io.github.textpoke.cli;

import com.google.common.collect.ImmutableList;
import com.google.gson.stream.JsonWriter;
import io.github.textpoke.PatchException;
import io.github.textpoke.PatchException.Outcome;
import io.github.textpoke.apply.ApplyReport;
import io.github.textpoke.apply.Patch;
import java.io.IOException;
import java.io.PrintWriter;

/**
 * Patches that were taken back.
 *
 * @param pid the process
 * @param done those that were reverted, in that order
 * @param left those that could not be
 */
record Reverted(int pid, ImmutableList<Done> done, ImmutableList<Left> left) implements Result {
  /** A patch whose old bytes stand. */
  record Done(Patch patch, ApplyReport report) {}

  /** A patch that stands, and why. */
  record Left(Patch patch, PatchException failure) {}

  /** Reverts them in this order. One that can't be reverted does not keep the others. */
  static Reverted revert(int pid, ImmutableList<Patch> patches) {
    ImmutableList.Builder<Done> done = ImmutableList.builder();
    ImmutableList.Builder<Left> left = ImmutableList.builder();
    for (Patch patch : patches) {
      try {
        done.add(new Done(patch, patch.revert()));
      } catch (PatchException failure) {
        left.add(new Left(patch, failure));
        if (failure.outcome() != Outcome.UNTOUCHED && failure.outcome() != Outcome.ROLLED_BACK) {
          break;
        }
      }
    }
    return new Reverted(pid, done.build(), left.build());
  }

  void throwFirstFailure() {
    if (!left.isEmpty()) {
      throw left.get(0).failure;
    }
  }

  @Override
  public void text(PrintWriter out) {
    out.println(
        "process " + pid + ": " + Output.count(done.size(), "patch", "patches") + " reverted");
    for (Done one : done) {
      out.printf("%d  %s, %s%n", one.patch.id(), one.patch.label(), Output.took(one.report));
    }
    for (Left one : left) {
      out.printf("%d  %s is left: %s%n", one.patch.id(), one.patch.label(), one.failure.what());
    }
  }

  @Override
  public void json(JsonWriter json) throws IOException {
    json.name("pid").value(pid);
    json.name("reverted").beginArray();
    for (Done one : done) {
      json.beginObject();
      json.name("id").value(one.patch.id());
      json.name("label").value(one.patch.label());
      Output.report(json, one.report);
      json.endObject();
    }
    json.endArray();
    json.name("left").beginArray();
    for (Left one : left) {
      json.beginObject();
      json.name("id").value(one.patch.id());
      json.name("label").value(one.patch.label());
      json.name("reason").value(one.failure.getMessage());
      json.endObject();
    }
    json.endArray();
  }
}
