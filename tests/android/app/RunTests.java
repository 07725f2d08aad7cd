import java.util.ArrayList;
import java.util.List;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.Request;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/** Runs the classes, or "Class#method"s, named and prints a line a test, which pytest reads. */
public final class RunTests {
  private RunTests() {}

  public static void main(String[] names) throws ClassNotFoundException {
    JUnitCore core = new JUnitCore();
    core.addListener(
        new RunListener() {
          private Failure failure;

          @Override
          public void testStarted(Description test) {
            failure = null;
          }

          @Override
          public void testFailure(Failure failed) {
            failure = failed;
            if (failed.getDescription().getMethodName() == null) System.out.println(failed.getTrace());
          }

          @Override
          public void testFinished(Description test) {
            String name = test.getTestClass().getSimpleName() + "." + test.getMethodName();
            if (failure != null) System.out.println(failure.getTrace());
            System.out.println((failure == null ? "@@ passed " : "@@ failed ") + name);
          }
        });
    boolean good = true;
    List<Class<?>> classes = new ArrayList<>();
    for (String name : names) {
      String[] parts = name.split("#");
      Class<?> test = Class.forName(parts[0]);
      if (parts.length == 1) classes.add(test);
      else good &= core.run(Request.method(test, parts[1])).wasSuccessful();
    }
    good &= core.run(classes.toArray(new Class<?>[0])).wasSuccessful();
    System.out.flush();
    Runtime.getRuntime().halt(good ? 0 : 1);
  }
}
